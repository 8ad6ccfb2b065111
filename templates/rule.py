"""A rule of your own. Change its lines, run this file, open the page it writes.

It can move to ``momentum_lib/rules.py`` as it stands; CONTRIBUTING says what its card must tell.
"""

from momentum_lib import heavy_ball, identify, report, rule, stability_limit


@rule
def my_rule(theta, v, grad, *, eta, gamma):
    """Heavy ball that looks half as far ahead as Nesterov.

        v_t = gamma v_{t-1} + eta grad f(theta_{t-1} - gamma v_{t-1}/2),  theta_t = theta_{t-1} - v_t

    Gradient read at: theta - gamma v / 2
    Reports: theta
    Units: theta [theta], v [theta]
    Start: v = 0
    Not to be confused with: nesterov, which looks all the way ahead
    Source: yours
    """
    v = gamma * v + eta * grad(theta - gamma * v / 2)
    return theta - v, v


if __name__ == "__main__":
    print(identify(my_rule))
    for each in (heavy_ball, my_rule):
        print(f"{each.name}: stable up to eta lam = {float(stability_limit(each.at(gamma=0.9))):.4g}")
    print(report(my_rule, kappa=100.0).save("my_rule.html"))
