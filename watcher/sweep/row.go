package sweep

import "time"

// A Row is what the list says of one order. A time that it does not say, or says as 0, is zero.
type Row struct {
	Name    string // one that a watch can have
	Phase   string // the API's word, whatever it is
	Created time.Time
	Began   time.Time
	Ended   time.Time
}

// A Query asks for rows, the newest first. A field that is zero is not asked for.
type Query struct {
	Phase        string
	Since, Until time.Time // of creation, in whole milliseconds; both are in it
	Offset       int       // at most 500
	Limit        int       // at most 500; 0: 100
}

// A Page is the answer to a query.
type Page struct {
	Count int // of rows that fit the query, as the API says; at least those that it gave
	Rows  []Row
}
