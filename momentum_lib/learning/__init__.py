"""Networks under momentum: models, their first weights and data, the training loop, its long sweeps.

A *task* is a plain value: which data, which network, which first weights. It gives what a training needs
as pure functions of theta, a tree of arrays, so the rules of the library train a network unchanged, under
JAX. `train` does one training or a grid of them in one compiled loop, `carry_out` many on any executor,
`measured` keeps the results of those that take hours. Public names are loaded on first use; importing this
package loads no JAX.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
