"""How many examples property tests draw: `fast`, or with --hypothesis-profile=thorough as many as are worth a wait.

Fast examples are the same in every run, so that a failure is of the change that is tested.
"""

from hypothesis import HealthCheck, Phase, settings


def register() -> None:
    """Register both profiles, and load `fast`. Before pytest reads --hypothesis-profile."""
    # Fixtures that live for a whole test are meant to be shared by its examples, and no machine is too slow.
    always = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    settings.register_profile("fast", always, max_examples=25, derandomize=True)
    settings.register_profile("thorough", always, max_examples=100, print_blob=True)
    settings.load_profile("fast")


def is_thorough() -> bool:
    return settings.get_current_profile_name() == "thorough"


def examples(*, fast: int, thorough: int) -> settings:
    """The settings of a test that takes other numbers of examples than most."""
    return settings(max_examples=thorough if is_thorough() else fast)


def model_examples(*, fast: int, thorough: int) -> settings:
    """The settings of a test against a model, whose examples are long histories."""
    return settings(
        max_examples=thorough if is_thorough() else fast,
        # To make a failing example small takes minutes: only where somebody waits anyway.
        phases=set(Phase) if is_thorough() else set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=list(HealthCheck),
    )
