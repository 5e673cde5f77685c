package words

// NotKnown is the word for a watch whose deadline passed while its order could not be read: what [Outcome] cannot
// tell from the outcome alone.
const NotKnown = "NOT KNOWN"

// outcomes are the fixed words that people search and alert on.
var outcomes = map[string]string{
	"succeeded":        "DONE",
	"partially_failed": "PARTLY FAILED",
	"failed":           "FAILED",
	"timed_out":        "NOT DONE",
	"not_found":        "NOT FOUND",
	"refused":          "REFUSED",
	"cancelled":        "CANCELLED",
}

// Outcome returns the fixed word of an outcome, with which the text of its message begins; ENDED for an outcome
// that a later version names. Where every item was to be deleted, an order of which all or some failed is
// NOT DELETED. See [NotKnown] for the other word of a deadline that passed.
func Outcome(outcome string, deletion bool) string {
	if deletion && (outcome == "failed" || outcome == "partially_failed") {
		return "NOT DELETED"
	}
	if word, ok := outcomes[outcome]; ok {
		return word
	}
	return "ENDED"
}
