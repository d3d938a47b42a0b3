"""Findings on what of a study is not used. Pure."""

from analysis.audit.finding import Finding, Severity
from analysis.statistics.tables import listing, number
from analysis.transfer.verdicts import FAR_POINTS, Verdicts
from nertransfer.core.text import count

EXAMPLES = 4


def unused(judged: Verdicts) -> list[Finding]:
    """Configurations that are excluded, and fine-tunings that collapsed."""
    findings = []
    rows = judged.excluded
    if len(rows):
        named = [f"{row.start}-{row.source}: {row.reason}" for row in rows.head(EXAMPLES).itertuples()]
        helped = [
            f"{row.start}-{row.source} helps {row.helps_most} most ({number(row.gain, 1, True)} points)"
            for row in rows[rows["helps_most"] != ""].head(EXAMPLES).itertuples()
        ]
        told = f". Zero-shot, {listing(helped)}" if helped else ""
        text = (
            f"{'; '.join(named)}{told}. They are in no average, test, model or claim; consequences.csv has the claims "
            "with them"
        )
        title = f"{count(len(rows), 'configuration')} excluded"
        findings.append(Finding(Severity.WRONG, "excluded", title, text, rows))
    rows = judged.collapsed
    if len(rows):
        named = [f"{row.start}-{row.source} seed {row.seed} (F1 {number(row.f1)})" for row in rows.itertuples()]
        others = [*named[:EXAMPLES], *([f"{len(named) - EXAMPLES} others"] if len(named) > EXAMPLES else [])]
        text = (
            f"{listing(others)}: F1 on the source's dev split is 0, or less than half of the best seed's and more than "
            f"{FAR_POINTS:.0f} points below it. Means are without them, except where all seeds of a configuration "
            "collapsed; collapsed.csv has both means"
        )
        title = f"{count(len(rows), 'fine-tuning')} collapsed"
        findings.append(Finding(Severity.CARE, "collapsed", title, text, rows))
    return findings
