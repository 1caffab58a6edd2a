"""The number of examples of property tests: `fast`, or more with --hypothesis-profile=thorough.

Fast examples are the same in every run, so that a failure comes from the change under test.
"""

from hypothesis import HealthCheck, Phase, settings


def register() -> None:
    """Register both profiles and load `fast`. Call it before pytest reads --hypothesis-profile."""
    # Examples of one test share its fixtures on purpose, and a slow machine is not a failure.
    always = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    settings.register_profile("fast", always, max_examples=25, derandomize=True)
    settings.register_profile("thorough", always, max_examples=100, print_blob=True)
    settings.load_profile("fast")


def is_thorough() -> bool:
    return settings.get_current_profile_name() == "thorough"


def examples(*, fast: int, thorough: int) -> settings:
    """Return settings for a test with its own numbers of examples."""
    return settings(max_examples=thorough if is_thorough() else fast)


def model_examples(*, fast: int, thorough: int) -> settings:
    """Return settings for a test against a model, whose examples are long histories."""
    return settings(
        max_examples=thorough if is_thorough() else fast,
        # Shrinking a failing example takes minutes, so only the thorough profile does it.
        phases=set(Phase) if is_thorough() else set(Phase) - {Phase.shrink, Phase.explain},
        suppress_health_check=list(HealthCheck),
    )
