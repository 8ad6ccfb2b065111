from .datasets import Curves, Digits, Rows, draw_curves
from .sequences import Addition, Memorization, Multiplication
from .weights import echo_state, normal_weights, sparse_weights
from .tasks import Autoencoder, Classifier, RecurrentTask
from .training import Training, train
from .campaigns import Trial, best_eta_of, carry_out, measured, spread
from .curvature import largest_eigenvalue, sharpness
