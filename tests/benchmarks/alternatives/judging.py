"""What became of the memberships? Told from what Responsys took, what lies on queues, and what the subject counted."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.benchmarks.alternatives.world import Membership

__all__ = ["Evidence", "Verdict", "judge"]


@dataclass(frozen=True)
class Evidence:
    """What is known at the end of a run, as message ids.

    Attributes
    ----------
    accepted
        What the simulated Responsys took, in that order.
    kept
        What is on a queue: it waits there, or for a person.
    counted
        What the subject itself holds for delivered.
    unanswered
        What it took in a request whose reply was lost.
    """

    accepted: Sequence[str]
    kept: Collection[str]
    counted: Collection[str]
    unanswered: Collection[str]


@dataclass(frozen=True)
class Verdict:
    """The columns that say whether it was right.

    Attributes
    ----------
    deliverable
        Memberships of known people in messages that can be read.
    delivered
        … of which Responsys took the event, once or more often.
    kept
        Memberships, deliverable or not, that it did not take and that are on a queue.
    left_out
        Not sent because a newer change of the same person and segment was there first. An ADD is not left out for
        UPDATEs alone, which say nothing of entering.
    lost
        None of these.
    twice
        Acceptances beyond the first of a message.
    twice_after_lost_reply
        … of messages for which a reply was lost: who sent them could not know that they had been taken.
    counted_only
        Counted as delivered by the subject, and never accepted.
    last_state_wrong
        Persons and segments of which the newest change was accepted, and an older one after it; but for an ADD after
        UPDATEs alone, which tells late that the person is in, as is true.
    """

    deliverable: int
    delivered: int
    kept: int
    left_out: int
    lost: int
    twice: int
    twice_after_lost_reply: int
    counted_only: int
    last_state_wrong: int


def judge(memberships: Sequence[Membership], evidence: Evidence) -> Verdict:
    """Hold the evidence against what was sent."""
    times = Counter(evidence.accepted)
    deliverable = [membership for membership in memberships if membership.kind == "known"]
    changes: defaultdict[tuple[str, str, str], list[Membership]] = defaultdict(list)
    for membership in deliverable:
        changes[membership.subject].append(membership)
    not_taken = [membership for membership in memberships if membership.message_id not in times]
    kept = [membership for membership in not_taken if membership.message_id in evidence.kept]
    gone = [membership for membership in not_taken if membership.message_id not in evidence.kept]
    left_out = [
        membership for membership in gone if _is_outdated(membership, changes.get(membership.subject, ()), times)
    ]
    return Verdict(
        deliverable=len(deliverable),
        delivered=sum(membership.message_id in times for membership in deliverable),
        kept=len(kept),
        left_out=len(left_out),
        lost=len(gone) - len(left_out),
        twice=times.total() - len(times),
        twice_after_lost_reply=sum(times[message_id] - 1 for message_id in set(evidence.unanswered) & times.keys()),
        counted_only=len(set(evidence.counted) - times.keys()),
        last_state_wrong=_wrong_last_states(changes.values(), evidence.accepted),
    )


def _is_outdated(membership: Membership, changes: Sequence[Membership], taken: Collection[str]) -> bool:
    """Tell whether it would say what is no longer true, where newer changes were taken; an UPDATE denies no ADD."""
    newer = {each.call_type for each in changes if each.order > membership.order and each.message_id in taken}
    return membership.kind == "known" and bool(newer - {"UPDATE"} if membership.call_type == "ADD" else newer)


def _wrong_last_states(changes: Collection[Sequence[Membership]], accepted: Sequence[str]) -> int:
    last_at = {message_id: position for position, message_id in enumerate(accepted)}
    wrong = 0
    for same in changes:
        taken = [each for each in same if each.message_id in last_at]
        newest = max(same, key=lambda each: each.order)
        if newest in taken:
            wrong += _is_outdated(max(taken, key=lambda each: last_at[each.message_id]), same, last_at.keys())
    return wrong
