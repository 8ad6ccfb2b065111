"""Every linear variant of momentum, once, in the lines its paper prints.

This is the only place where an update is typed. The steps use arithmetic only, so the same text runs
on NumPy grids, JAX and torch arrays, SymPy symbols and PEPit points, and everything else about a
rule is computed from it. Imports `definition` only.

Each docstring is a card. Its t counts the steps, t = 1, 2, ...: (theta_t, v_t) is the state after t steps,
and step t reads the state t - 1. Units are those of theta or of the gradient; "look-ahead" is where
Nesterov reads the gradient; v_i stands for v1, v2, ... where a family has a variable number of slots.
"""

from momentum_lib.definition import RULES, Rule, decays, rule

__all__ = [
    "accsgd",
    "aggregated",
    "averaged_heavy_ball",
    "bias_corrected",
    "chebyshev",
    "ema",
    "ema_mixture",
    "gradient_descent",
    "heavy_ball",
    "item",
    "keras_nesterov",
    "keras_sgd",
    "mass",
    "nesterov",
    "ogm",
    "optimistic_gradient",
    "pid",
    "polyak_two_step",
    "primal_average",
    "qhm",
    "robust_momentum",
    "schedule_free",
    "torch_nesterov",
    "torch_sgd",
    "triple_momentum",
]


@rule
def gradient_descent(theta, grad, *, eta):
    """Gradient descent: step against the gradient, remember nothing.

        theta_t = theta_{t-1} - eta grad(theta_{t-1})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta]
    Start: nothing to start
    Not to be confused with: heavy_ball at gamma = 0, which takes the same steps and also stores the last one
    Source: Cauchy 1847; Polyak 1964, eq. (1)
    """
    return (theta - eta * grad(theta),)


@rule
def heavy_ball(theta, v, grad, *, eta, gamma):
    """Heavy ball, classical momentum: a velocity collects the gradients, theta moves by minus the velocity.

        v_t = gamma v_{t-1} + eta grad(theta_{t-1})
        theta_t = theta_{t-1} - v_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], v [theta]
    Start: v = 0
    Not to be confused with: torch_sgd, whose buffer holds gradients; ema, whose buffer is their average
    Source: Polyak 1964; in this form Sutskever et al. 2013, eq. (1)-(2), with the sign of v turned
    """
    v = gamma * v + eta * grad(theta)
    return theta - v, v


@rule
def nesterov(theta, v, grad, *, eta, gamma):
    """Nesterov's accelerated gradient: the gradient is read where the velocity is about to lead.

        v_t = gamma v_{t-1} + eta grad(theta_{t-1} - gamma v_{t-1})
        theta_t = theta_{t-1} - v_t

    Gradient read at: theta - gamma*v
    Reports: theta, not the look-ahead
    Units: theta [theta], v [theta]
    Start: v = 0
    Not to be confused with: torch_nesterov and keras_nesterov, which report the look-ahead
    Source: Nesterov 1983; in this form Sutskever et al. 2013, eq. (3)-(4), with the sign of v turned
    """
    v = gamma * v + eta * grad(theta - gamma * v)
    return theta - v, v


@rule
def polyak_two_step(theta, theta_prev, grad, *, eta, gamma):
    """Polyak's two-step form: the last displacement takes the place of the velocity.

        theta_t = theta_{t-1} - eta grad(theta_{t-1}) + gamma (theta_{t-1} - theta_{t-2})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], theta_prev [theta]
    Start: theta_prev = theta
    Not to be confused with: heavy_ball, the same iterates while gamma and eta stay constant or
        the schedule is read at the same step
    Source: Polyak 1964, eq. (9)
    """
    return theta - eta * grad(theta) + gamma * (theta - theta_prev), theta


@rule
def ema(theta, m, grad, *, eta, gamma):
    """Momentum as an exponential moving average of gradients.

        m_t = gamma m_{t-1} + (1 - gamma) grad(theta_{t-1})
        theta_t = theta_{t-1} - eta m_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]
    Start: m = 0
    Not to be confused with: heavy_ball, whose velocity is a sum; ema at eta/(1 - gamma) takes its steps
    Source: Kingma and Ba 2015, Algorithm 1, first moment without its bias correction
    """
    m = gamma * m + (1 - gamma) * grad(theta)
    return theta - eta * m, m


@rule
def bias_corrected(theta, v, grad, *, eta, gamma, t):
    """Heavy ball with Adam's bias correction in the step only; the velocity itself stays uncorrected.

        v_t = gamma v_{t-1} + eta grad(theta_{t-1})
        theta_t = theta_{t-1} - v_t / (1 - gamma^t)

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], v [theta]
    Start: v = 0
    Not to be confused with: bias-corrected ema; v is a sum, so dividing by 1 - gamma^t makes the first
        steps long (eta/(1 - gamma)), it does not make v an average
    Source: the correction of Kingma and Ba 2015, Algorithm 1, applied to heavy ball
    """
    v = gamma * v + eta * grad(theta)
    return theta - v / (1 - gamma**t), v


@rule
def torch_sgd(theta, b, grad, *, eta, gamma, dampening=0, weight_decay=0):
    """PyTorch's SGD: the buffer collects gradients, the learning rate comes outside.

        b_t = gamma b_{t-1} + (1 - dampening) (grad(theta_{t-1}) + weight_decay theta_{t-1})
        theta_t = theta_{t-1} - eta b_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], b [gradient]
    Start: b = 0; the first step sets b to the gradient, undampened
    Not to be confused with: heavy_ball, which differs once eta changes; ema, which dampens step 1 too.
        At momentum 0 PyTorch keeps no buffer and ignores dampening; this rule does not
    Source: PyTorch, torch.optim.SGD, algorithm box
    """
    b = gamma * b + (1 - dampening) * (grad(theta) + weight_decay * theta)
    return theta - eta * b, b


@torch_sgd.first
def torch_sgd_first(theta, b, grad, *, eta, gamma, dampening, weight_decay):
    """Step 1 of PyTorch: the buffer *is* the first gradient."""
    b = gamma * b + grad(theta) + weight_decay * theta
    return theta - eta * b, b


@rule
def torch_nesterov(theta, b, grad, *, eta, gamma, weight_decay=0):
    """PyTorch's SGD with nesterov=True: theta here is the look-ahead point.

        b_t = gamma b_{t-1} + grad(theta_{t-1}) + weight_decay theta_{t-1}
        theta_t = theta_{t-1} - eta (grad(theta_{t-1}) + weight_decay theta_{t-1} + gamma b_t)

    Gradient read at: theta
    Reports: theta, which is Nesterov's look-ahead point
    Units: theta [theta], b [gradient]
    Start: b = 0
    Not to be confused with: nesterov, which reports the point before the look-ahead
    Source: PyTorch, torch.optim.SGD, algorithm box, nesterov=True
    """
    g = grad(theta) + weight_decay * theta
    b = gamma * b + g
    return theta - eta * (g + gamma * b), b


@rule
def keras_sgd(theta, u, grad, *, eta, gamma, weight_decay=0):
    """Keras's SGD: the velocity points downhill, weight decay is decoupled from it.

        u_t = gamma u_{t-1} - eta grad(theta_{t-1})
        theta_t = (1 - eta weight_decay) theta_{t-1} + u_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], u [theta]
    Start: u = 0
    Not to be confused with: torch_sgd, whose weight decay passes through the buffer; heavy_ball, u = -v
    Source: Keras, keras.optimizers.SGD, update rule; decay as in Loshchilov and Hutter 2019
    """
    u = gamma * u - eta * grad(theta)
    return (1 - eta * weight_decay) * theta + u, u


@rule
def keras_nesterov(theta, u, grad, *, eta, gamma, weight_decay=0):
    """Keras's SGD with nesterov=True: theta here is the look-ahead point.

        u_t = gamma u_{t-1} - eta grad(theta_{t-1})
        theta_t = (1 - eta weight_decay) theta_{t-1} + gamma u_t - eta grad(theta_{t-1})

    Gradient read at: theta
    Reports: theta, which is Nesterov's look-ahead point
    Units: theta [theta], u [theta]
    Start: u = 0
    Not to be confused with: nesterov, which reports the point before the look-ahead
    Source: Keras, keras.optimizers.SGD, update rule with nesterov=True
    """
    g = grad(theta)
    u = gamma * u - eta * g
    return (1 - eta * weight_decay) * theta + gamma * u - eta * g, u


# --- beyond the frameworks ----------------------------------------------------------------------------


@rule
def qhm(theta, m, grad, *, alpha, beta, nu):
    """Quasi-hyperbolic momentum: an average of the plain step and the averaged one.

        m_t = beta m_{t-1} + (1 - beta) grad(theta_{t-1})
        theta_t = theta_{t-1} - alpha ((1 - nu) grad(theta_{t-1}) + nu m_t)

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m [gradient]
    Start: m = 0
    Not to be confused with: ema, its nu = 1; torch_nesterov, its nu = beta at eta = alpha (1 - beta)
    Source: Ma and Yarats 2019, section 3, and the authors' code
    """
    g = grad(theta)
    m = beta * m + (1 - beta) * g
    return theta - alpha * ((1 - nu) * g + nu * m), m


def aggregated(gammas):
    """Aggregated momentum, a family: one velocity for each rate in `gammas`, theta moves by their mean.

    Parameters
    ----------
    gammas : sequence of numbers in [0, 1) or symbols
        One slot v1, v2, ... each. Fractions keep a run on fractions exact.

    Returns
    -------
    Rule
        ``RULES["aggregated"]`` is the published member, 1 - 10^-i for i = 0, 1, 2.

    Raises
    ------
    RuleError
        No rate, or one outside [0, 1).

    Examples
    --------
    >>> aggregated((0, 0.9)).slots
    ('theta', 'v1', 'v2')
    """
    gammas = decays("aggregated", gammas)

    def step(theta, *velocities_and_grad, eta):
        """Aggregated momentum: several velocities of different memory, theta moves by minus their mean.

            v_{i,t} = gamma_i v_{i,t-1} + eta grad(theta_{t-1}),  i = 1, ..., K
            theta_t = theta_{t-1} - (v_{1,t} + ... + v_{K,t}) / K

        Gradient read at: theta
        Reports: theta, where the gradient is read
        Units: theta [theta], v_i [theta]
        Start: v_i = 0
        Not to be confused with: heavy_ball, the family's member with one rate; the paper keeps the
            learning rate outside its velocities, which differs once eta changes
        Source: Lucas et al. 2019, section 3
        """
        *velocities, grad = velocities_and_grad
        g = eta * grad(theta)
        velocities = [gamma * v + g for gamma, v in zip(gammas, velocities, strict=True)]
        return theta - sum(velocities[1:], start=velocities[0]) / len(gammas), *velocities

    slots = ("theta", *(f"v{i + 1}" for i in range(len(gammas))))
    return Rule(step, slots=slots, hyper=("eta",), name="aggregated", made_by=(aggregated, (gammas,)))


RULES["aggregated"] = aggregated(1 - 10**-i for i in range(3))


@rule
def triple_momentum(theta, xi, xi_prev, grad, *, alpha, beta, gamma, delta):
    """Triple momentum: a sequence xi moves, the gradient is read at a second point, a third is reported.

        xi_t = (1 + beta) xi_{t-1} - beta xi_{t-2} - alpha grad((1 + gamma) xi_{t-1} - gamma xi_{t-2})
        theta_t = (1 + delta) xi_t - delta xi_{t-1}

    Gradient read at: (1 + gamma)*xi - gamma*xi_prev
    Reports: theta, an output that nothing reads back
    Units: theta [theta], xi [theta], xi_prev [theta]
    Start: xi = theta, xi_prev = theta
    Not to be confused with: robust_momentum, the same lines without the output
    Source: Van Scoy, Freeman and Lynch 2018; the update as in PEPit's example triple_momentum
    """
    new = (1 + beta) * xi - beta * xi_prev - alpha * grad((1 + gamma) * xi - gamma * xi_prev)
    return (1 + delta) * new - delta * xi, new, xi


@rule
def robust_momentum(theta, theta_prev, grad, *, alpha, beta, gamma):
    """Robust momentum: heavy ball whose look-ahead has a length of its own.

        theta_t = theta_{t-1} + beta d_t - alpha grad(theta_{t-1} + gamma d_t)
        d_t = theta_{t-1} - theta_{t-2}

    Gradient read at: theta + gamma*(theta - theta_prev)
    Reports: theta, the state
    Units: theta [theta], theta_prev [theta]
    Start: theta_prev = theta
    Not to be confused with: nesterov, its gamma = beta; polyak_two_step, its gamma = 0; triple_momentum,
        which reports another point. The synthesized Nesterov method of Lessard, Recht and Packard 2016 is
        this rule with other letters
    Source: Cyrus, Hu, Van Scoy and Lessard 2018; the update as in PEPit's example robust_momentum
    """
    d = theta - theta_prev
    return theta + beta * d - alpha * grad(theta + gamma * d), theta


@rule
def accsgd(theta, w, grad, *, delta, kappa, xi):
    """Accelerated SGD: a short step of length delta, averaged with the sum of long ones.

        w_t = a w_{t-1} + (1 - a) (theta_{t-1} - (kappa delta / c) grad(theta_{t-1}))
        theta_t = (c (theta_{t-1} - delta grad(theta_{t-1})) + (1 - a) w_t) / (c + 1 - a)
        with c = 7/10 and a = 1 - c^2 xi / kappa

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], w [theta]
    Start: w = theta
    Not to be confused with: primal_average, the long steps alone; qhm, which contains it
    Source: Kidambi et al. 2018, the authors' AccSGD package; the method of Jain et al. 2018
    """
    g = grad(theta)
    b = 49 * xi / (100 * kappa)
    w = (1 - b) * w + b * (theta - 10 * kappa * delta / 7 * g)
    return (7 * (theta - delta * g) + 10 * b * w) / (7 + 10 * b), w


@rule
def mass(theta, u, grad, *, eta1, eta2, gamma):
    """Momentum-added stochastic solver: Nesterov with a second step that compensates part of the first.

        theta_t = u_{t-1} - eta1 grad(u_{t-1})
        u_t = (1 + gamma) theta_t - gamma theta_{t-1} + eta2 grad(u_{t-1})

    Gradient read at: u
    Reports: theta, which is w of the paper
    Units: theta [theta], u [theta]
    Start: u = theta
    Not to be confused with: nesterov, its eta2 = 0
    Source: Liu and Belkin 2020, section 1, the update rules
    """
    g = grad(u)
    new = u - eta1 * g
    return new, (1 + gamma) * new - gamma * theta + eta2 * g


@rule
def primal_average(theta, z, grad, *, eta, c):
    """Primal averaging: z takes plain steps, theta is their running average.

        z_t = z_{t-1} - eta grad(theta_{t-1})
        theta_t = (1 - c) theta_{t-1} + c z_t

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], z [theta]
    Start: z = theta
    Not to be confused with: heavy_ball, which takes the same steps at gamma = 1 - c and c eta; they part
        once c changes
    Source: Defazio 2020; Sebbouh, Gower and Defazio 2021
    """
    z = z - eta * grad(theta)
    return (1 - c) * theta + c * z, z


@rule
def chebyshev(theta, theta_prev, grad, *, mu, L, t):
    """Chebyshev semi-iteration: the momentum of each step is the best there is for that step count.

        theta_t = theta_{t-2} + omega_t (theta_{t-1} - 2/(L + mu) grad(theta_{t-1}) - theta_{t-2})
        omega_t = (1 + q) (1 + q^(t-1)) / (1 + q^t),  q = ((sqrt(L) - sqrt(mu)) / (sqrt(L) + sqrt(mu)))^2

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], theta_prev [theta]
    Start: theta_prev = theta; the first step is gradient descent with 2/(L + mu)
    Not to be confused with: polyak_two_step at its optimal setting, which is this rule at t -> infinity
    Source: Golub and Varga 1961; omega_t solves their recurrence omega_{t+1} = 1/(1 - r^2 omega_t/4),
        omega_1 = 2, r = (L - mu)/(L + mu)
    """
    root = 2 * (L * mu) ** (L / (2 * L))  # the exponent is a half on every algebra
    q = (L + mu - root) / (L + mu + root)
    omega = (1 + q) * (1 + q ** (t - 1)) / (1 + q**t)
    return theta_prev + omega * (theta - 2 / (L + mu) * grad(theta) - theta_prev), theta


@chebyshev.first
def chebyshev_first(theta, theta_prev, grad, *, mu, L, t):
    """Step 1: the best single step of gradient descent."""
    return theta - 2 / (L + mu) * grad(theta), theta


@rule
def ogm(theta, y, grad, *, alpha, beta, gamma):
    """Optimized gradient method: Nesterov's momentum and a second one along the step just taken.

        y_t = theta_{t-1} - alpha grad(theta_{t-1})
        theta_t = y_t + beta (y_t - y_{t-1}) + gamma (y_t - theta_{t-1})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], y [theta]
    Start: y = theta
    Not to be confused with: torch_nesterov, its gamma = 0
    Source: Drori and Teboulle 2014; in this form Kim and Fessler 2016, with beta = (s_{t-1} - 1)/s_t and
        gamma = s_{t-1}/s_t for their sequence s, s_0 = 1
    """
    new = theta - alpha * grad(theta)
    return new + beta * (new - y) + gamma * (new - theta), new


@rule
def item(theta, x, grad, *, eta, q, beta, delta):
    """Information-theoretic exact method: steps of scheduled length, mixed with the last short step.

        y_t = (1 - beta) theta_{t-1} + beta x_{t-1}
        x_t = y_t - eta grad(y_t)
        theta_t = (1 - q delta) theta_{t-1} + q delta y_t - eta delta grad(y_t)

    Gradient read at: (1 - beta)*theta + beta*x
    Reports: theta, which is z of the paper
    Units: theta [theta], x [theta]
    Start: x = theta
    Not to be confused with: triple_momentum, its limit at constant beta and delta
    Source: Taylor and Drori 2023, with eta = 1/L, q = mu/L; the update as in PEPit's example
        information_theoretic_exact_method
    """
    y = (1 - beta) * theta + beta * x
    g = grad(y)
    return (1 - q * delta) * theta + q * delta * y - eta * delta * g, y - eta * g


@rule
def pid(theta, e, d, grad, *, k_p, k_i, k_d, beta):
    """PID control of the gradient: proportional, integral and smoothed derivative parts.

        d_t = beta d_{t-1} + (1 - beta) (e_t - e_{t-1}),  e_t = grad(theta_{t-1})
        theta_t = theta_{t-1} - k_p (e_t - e_{t-1}) - k_i e_t - k_d (d_t - d_{t-1})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], e [gradient], d [gradient]
    Start: e = 0, d = 0
    Not to be confused with: qhm, its members with beta = k_d/(k_d - k_p)
    Source: Recht 2018, Ma and Yarats 2019, PID; written as the change of their control signal
    """
    g = grad(theta)
    new = beta * d + (1 - beta) * (g - e)
    return theta - k_p * (g - e) - k_i * g - k_d * (new - d), g, new


@rule
def optimistic_gradient(theta, g, grad, *, eta, gamma):
    """Optimistic gradient: each step foresees that the gradient will change again as it just did.

        g_t = grad(theta_{t-1})
        theta_t = theta_{t-1} - eta (g_t + gamma (g_t - g_{t-1}))

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], g [gradient]
    Start: g = 0; the first step is gradient descent, for lack of an earlier gradient
    Not to be confused with: pid at k_p = eta gamma, k_i = eta, k_d = 0, beta = 0, which starts from a
        gradient of 0; torch_nesterov, which keeps a sum of gradients and not the last one
    Source: Popov 1980; Daskalakis et al. 2018, both gamma = 1; as in optax.optimistic_gradient_descent
    """
    new = grad(theta)
    return theta - eta * (new + gamma * (new - g)), new


@optimistic_gradient.first
def optimistic_gradient_first(theta, g, grad, *, eta, gamma):
    """Step 1: nothing has changed yet."""
    new = grad(theta)
    return theta - eta * new, new


@rule
def ema_mixture(theta, m1, m2, grad, *, eta, alpha, beta1, beta3):
    """The mixture in AdEMAMix: a quick average of gradients, and alpha times a slow one.

        m_{1,t} = beta1 m_{1,t-1} + (1 - beta1) grad(theta_{t-1})
        m_{2,t} = beta3 m_{2,t-1} + (1 - beta3) grad(theta_{t-1})
        theta_t = theta_{t-1} - eta (m_{1,t} + alpha m_{2,t})

    Gradient read at: theta
    Reports: theta, where the gradient is read
    Units: theta [theta], m1 [gradient], m2 [gradient]
    Start: m1 = 0, m2 = 0
    Not to be confused with: ema, its alpha = 0; aggregated, whose velocities are sums and weigh the same.
        AdEMAMix divides by the root of a third average, and corrects the bias of m1 alone
    Source: Pagliardini, Ablin and Grangier 2025, without its division and bias correction
    """
    g = grad(theta)
    m1 = beta1 * m1 + (1 - beta1) * g
    m2 = beta3 * m2 + (1 - beta3) * g
    return theta - eta * (m1 + alpha * m2), m1, m2


# --- averages of the points themselves ----------------------------------------------------------------


@rule
def averaged_heavy_ball(theta, x, v, grad, *, eta, gamma, k, t):
    """Heavy ball whose points are averaged: nothing it does changes, what it reports does.

        v_t = gamma v_{t-1} + eta grad(x_{t-1})
        x_t = x_{t-1} - v_t
        theta_t = theta_{t-1} + (1 + k)/(t + k) (x_t - theta_{t-1})

    Gradient read at: x
    Reports: theta, the mean of x_1, ..., x_t at k = 0; x_s weighs about s^k, so a larger k forgets the start
    Units: theta [theta], x [theta], v [theta]
    Start: x = theta, v = 0
    Not to be confused with: ema, which averages gradients; schedule_free, which reads them near the average
    Source: Polyak and Juditsky 1992, gamma = k = 0; the weights of Shamir and Zhang 2013
    """
    v = gamma * v + eta * grad(x)
    x = x - v
    return theta + (1 + k) / (t + k) * (x - theta), x, v


@rule
def schedule_free(theta, z, grad, *, eta, beta, t):
    """Schedule-free SGD: plain steps whose gradient is read near their average, which is reported.

        y_t = (1 - beta) z_{t-1} + beta theta_{t-1}
        z_t = z_{t-1} - eta grad(y_t)
        theta_t = theta_{t-1} + (z_t - theta_{t-1}) / t

    Gradient read at: (1 - beta)*z + beta*theta
    Reports: theta, the mean of z_1, ..., z_t, which is x of the paper
    Units: theta [theta], z [theta]
    Start: z = theta
    Not to be confused with: averaged_heavy_ball at gamma = k = 0, its beta = 0; primal_average, its beta = 1
        at a weight that stays. The authors' code weighs z by eta^2, which differs while eta warms up
    Source: Defazio et al. 2024, with the weights 1/t of the authors' code
    """
    z = z - eta * grad((1 - beta) * z + beta * theta)
    return theta + (z - theta) / t, z
