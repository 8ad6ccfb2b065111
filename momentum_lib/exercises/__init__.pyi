from .add_momentum import check_better_ball, check_by_hand, check_same_speed
from .damp_the_oscillation import check_damper, check_energy_limit, check_overshoot
from .descend_a_quadratic import check_balance, check_in_turn, check_slide
from .draw_the_stability_region import check_ema_limit, check_fewest_steps, check_flat_limit
from .live_with_noise import check_batch_limit, check_quiet_eta, check_quieter_rule
from .leave_the_quadratic import check_everyone_home, check_same_departure, check_way_home
from .look_ahead_with_nesterov import check_critical_nesterov, check_recover_theta
from .match_the_frameworks import check_corrected_average, check_corrected_momentum, check_handover
from .read_the_eigenvalues import check_guarantee, check_nesterov_bound, check_period
from .start_here import check_half_ahead, check_hand_tuned
from .study_gamma_sensitivity import check_break_even, check_margin, check_one_gamma
from .verdict import Verdict, checked
from .mind_the_details import check_carry_on, check_follow, check_safe_eta
from .train_a_network import check_between, check_first_try, check_pace
from .train_a_recurrent_network import check_backward, check_guess, check_largest_rate
from .unify_the_variants import check_halfway_letters, check_previous_point, check_third_point
from .invent_your_own_rule import check_disguise, check_new_rule, check_repair
from .weigh_the_claims import check_same_floor, check_true_sentence
