"""How likely danger is: the models' judgement and the lists' evidence weighed together.

Trees weigh them, which know that "he fell" about a paper is no fall. They and the thresholds are
found from sentences that the models had not learnt (cross-validation). The thresholds follow from
how many callers without an emergency may be asked, or sent to 112, in vain.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from ivr.understanding.ears import Judgement
from ivr.understanding.emergency import Thresholds
from ivr.understanding.sample_set import EMERGENCY

ASKED_IN_VAIN = 0.09
"""Share of ordinary examples that the model alone would have asked about. The examples are chosen
to be hard: of ordinary callers it asks a quarter of that (docs/understanding.md)."""
SENT_IN_VAIN = 0.022
"""Share of tricky examples, which sound like an emergency, that the model would send to 112. They
are harder than what callers say, too."""
MISHEARD = 0.02
"""Share of emergencies whose score is so low that a weak sign in such a sentence is none."""

_FOLDS = 5

Evidence = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DangerScale:
    """Puts judgements and evidence on a scale of probability."""

    column: int
    """Of the topic "emergency"."""
    trust: HistGradientBoostingClassifier
    thresholds: Thresholds

    @classmethod
    def fit(
        cls,
        ids: tuple[str, ...],
        judged: Judgement,
        evidence: Evidence,
        kinds: list[str],
        groups: npt.NDArray[np.int_],
    ) -> "DangerScale":
        """Weigh judgements of sentences not learnt, a row of `evidence` and a kind each.

        Sentences of one group are versions of each other.
        """
        column = ids.index(EMERGENCY)
        seen = _seen(judged, evidence, column)
        kind = np.array(kinds)
        danger = kind == EMERGENCY
        trust = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.08, max_leaf_nodes=8, l2_regularization=1, random_state=0
        )
        scores = cross_val_predict(
            trust, seen, danger, groups=groups, method="predict_proba",
            cv=StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0),
        )[:, 1]  # fmt: skip
        trust.fit(seen, danger)
        asks = float(np.quantile(scores[kind == "normal"], 1 - ASKED_IN_VAIN))
        vain = scores[kind == "tricky"] if (kind == "tricky").any() else scores[kind == "normal"]
        certain = max(float(np.quantile(vain, 1 - SENT_IN_VAIN)), asks, 0.5)
        harmless = min(float(np.quantile(scores[kind == EMERGENCY], MISHEARD)), asks)
        return cls(column, trust, Thresholds(asks, certain, harmless=harmless))

    def scores(self, judged: Judgement, evidence: Evidence) -> Scores:
        """Return the probability, 0 to 1, of each sentence to tell of an emergency."""
        shares = self.trust.predict_proba(_seen(judged, evidence, self.column))
        return np.asarray(shares[:, 1])


def _seen(judged: Judgement, evidence: Evidence, column: int) -> npt.NDArray[np.float64]:
    others = np.delete(judged.topics, column, axis=1).max(axis=1)
    return np.column_stack([judged.topics, others, judged.danger, evidence])
