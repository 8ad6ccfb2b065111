from .definition import RULES, NotLinear, Promise, Rule, RuleError, rule
from .rules import (
    accsgd,
    aggregated,
    averaged_heavy_ball,
    bias_corrected,
    chebyshev,
    ema,
    ema_mixture,
    gradient_descent,
    heavy_ball,
    item,
    keras_nesterov,
    keras_sgd,
    mass,
    nesterov,
    ogm,
    optimistic_gradient,
    pid,
    polyak_two_step,
    primal_average,
    qhm,
    robust_momentum,
    schedule_free,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from .nonlinear import (
    NONLINEAR,
    adam,
    adamw,
    clipped,
    fixed_restart,
    function_restart,
    gradient_restart,
    lion,
    lookahead,
    muon,
    nadam,
    normalized_momentum,
    signum,
)
from .problems import (
    Beale,
    Colorizer,
    ConvexRosenbrock,
    DoubleWell,
    GoujaudCycle,
    Himmelblau,
    LeastSquares,
    LessardCycle,
    Logistic,
    Minibatch,
    Moving,
    MultiWell,
    Multiplicative,
    NesterovWorst,
    Noisy,
    Plateau,
    Problem,
    Quadratic,
    Rastrigin,
    Rosenbrock,
    Saddle,
    SampledCoordinates,
    grid_laplacian,
)
from .runner import Run, run
from .schedules import (
    Schedule,
    bias_correction,
    constant,
    cosine_decay,
    linear_ramp,
    nesterov_sequence,
    nesterov_simple,
    step_schedule,
    sutskever,
    then,
    warmup,
)
from .spectrum import (
    Probe,
    closed_form,
    hitting_time,
    iteration_matrix,
    probe,
    regimes,
    settling_time,
    spectral_radius,
    stability_limit,
    transient_growth,
)
from .noise import (
    autocorrelation_time,
    filter_coefficients,
    frequency_response,
    impulse_response,
    mean_square_curve,
    mean_square_limit,
    mean_square_minimax,
    mean_square_radius,
    noisy_run,
    smoothing,
    stationary_covariance,
)
from .oscillation import (
    Damping,
    count_reversals,
    count_rises,
    count_sign_changes,
    critical_gamma,
    damping,
    measure_half_life,
    measure_overshoot,
    measure_path_ratio,
)
from .tuning import (
    best_eta,
    finite_bound,
    lower_bound,
    lower_rate,
    minimax,
    tune,
    worst_rate,
)
from .conversions import CONVERSIONS, Conversion, convert, convert_state
from .identification import Identification, identify, qhm_letters
from .plots import THEORY, hatch_unstable, label_end, rule_style, save
from .plots.canvas import Picture
from .plots.curves import (
    plot_eigenvalues,
    plot_noise_floor,
    plot_response,
    plot_training,
    plot_worst_case,
)
from .plots.maps import plot_atlas, plot_damping, plot_rate, plot_region, plot_times
from .plots.paths import plot_error, plot_motion, plot_path
from .symbolic import (
    Equivalence,
    characteristic_polynomial,
    equivalent,
    jury_conditions,
    latex,
    transfer_function,
)
from .sweeps import sweep
from .adapters import as_keras, as_optax, as_pepit, as_scipy_method, as_torch
from .reporting import compare, report
from .explorer import Explorer, explore
