"""What certificates said before run format 4: one whose digests are keyed later says no more than before."""

INHERITED, STRICT = "inherited", "strict"
_KEPT = "the split and the draw of samples are taken over from the first training, and so is the wording of the items."
MEANING_BEFORE = {
    INHERITED: "Each affected shard's adapter was trained again from its start on what remains. The state is the one "
    "that training from scratch on the remaining data gives with the same assignment of samples to shards. That "
    f"assignment was computed when the forgotten data was still there, and so were the shards' centres; {_KEPT}",
    STRICT: "The assignment of samples to shards was computed again without the forgotten data, and every shard whose "
    "samples changed was trained again from its start. The state is the one that training from scratch on the "
    f"remaining data gives; {_KEPT}",
}
APPROXIMATE_BEFORE = (
    "Each affected shard's adapter was moved by an approximate method, starting from the one that had learnt the "
    "forgotten data; it was not trained again. How much of that data it still holds is not known, and neither an audit "
    f"nor a verification of this run holds until an exact request reaches these shards. For the rest, {_KEPT}"
)
KEYED_LATER = (
    " An older version of the program carried the request out and wrote this certificate; its digests were keyed later."
)
