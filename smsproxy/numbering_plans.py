"""Numbering plans under which one phone has two spellings: the old one of a reform, or one that only some networks use.

Each rule turns the other spelling of a number into its canonical one, and leaves every other number alone. A rule
never joins two phones: the numbers that it makes were given to the same subscribers.
"""

import re
from collections.abc import Mapping, Sequence

Rule = tuple[re.Pattern[str], str]
"""A pattern of the whole E.164 number, and what it becomes."""

_MEXICO: Sequence[Rule] = (
    # Until 3 August 2019 a mobile number had a 1 before its ten digits, if dialled from abroad. No area begins with 1.
    # Source: Plan Técnico Fundamental de Numeración, Instituto Federal de Telecomunicaciones, DOF 11 May 2018.
    (re.compile(r"\+521([2-9][0-9]{9})"), r"+52\1"),
)

_ARGENTINA: Sequence[Rule] = (
    # Calls to a mobile have a 9 before the area code (from abroad), or 15 after it (within the country). Texts have
    # neither. A subscriber number of an area is given once, to a landline or a mobile, so the ten digits identify it.
    # Source: Plan Fundamental de Numeración Nacional, Resolution SC 46/97; ITU T0202000009.
    (re.compile(r"\+549([1-3][0-9]{9})"), r"+54\1"),
    (re.compile(r"\+549?(?=[0-9]{12}$)(11|[23][0-9]{2,3})15([0-9]{6,8})"), r"+54\1\2"),
)

_BRAZIL: Sequence[Rule] = (
    # From 2012 to 2016 mobile numbers, which began with 6 to 9, got a ninth digit, 9. Landlines begin with 2 to 5.
    # Radio trunking kept eight digits, until it was switched off in 2018.
    # Source: Anatel Resolution 553 of 14 December 2010; ITU, communication of 6 February 2013.
    (re.compile(r"\+55([1-9]{2})([6-9][0-9]{7})"), r"+55\g<1>9\2"),
)

_IVORY_COAST: Sequence[Rule] = (
    # On 31 January 2021 eight digits became ten. The new two say the operator, which the old second digit (of a mobile)
    # or third digit (of a landline, which begins with 2 or 3) said. Numbers with 80 and 90 were free or premium ones.
    # Source: the regulator ARTCI, 28 July 2020; ITU T0202000031; operators: libphonenumber, issue 1909 and metadata.
    (re.compile(r"\+225((?!80|90)[04-9][0-3][0-9]{6})"), r"+22501\1"),
    (re.compile(r"\+225([04-9][4-6][0-9]{6})"), r"+22505\1"),
    (re.compile(r"\+225([04-9][7-9][0-9]{6})"), r"+22507\1"),
    (re.compile(r"\+225([23][0-9]0[0-9]{5})"), r"+22525\1"),
    (re.compile(r"\+225(2[0-9]8[0-9]{5})"), r"+22521\1"),
    (re.compile(r"\+225([23][0-9]{7})"), r"+22527\1"),
)

_BENIN: Sequence[Rule] = (
    # On 30 November 2024 eight digits became ten: 01 and the old number, of mobiles and landlines alike.
    # Source: the regulator ARCEP Bénin, decision 2020-349; libphonenumber metadata.
    (re.compile(r"\+229([24-9][0-9]{7})"), r"+22901\1"),
)

RULES: Mapping[str, Sequence[Rule]] = {
    "+52": _MEXICO,
    "+54": _ARGENTINA,
    "+55": _BRAZIL,
    "+225": _IVORY_COAST,
    "+229": _BENIN,
}
"""The rules by calling code. The first one that fits a number applies."""

# A mobile 1 or 9, a mobile of eight digits, and digits that the new plans give to nobody.
OTHER_BEGINNINGS = re.compile(r"\+521|\+549|\+55[1-9]{2}[6-8]|\+225(?:[3-7]|[89][1-9]|[02][02-4689])|\+229[24-9]")
"""How no canonical number begins, and other spellings do. Argentina's 15 after an area code cannot be recognised."""
