package index

// Keep lets the index keep so many ended watches at least.
func (x *Index) Keep(ended int) { x.sorted.kept = ended }

// Kept returns how many rows there are, of open watches and of ended ones.
func (x *Index) Kept() (open, ended int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.rows) - x.sorted.ended, x.sorted.ended
}

// Room returns how many rows are kept in order of their age, with those that were removed.
func (x *Index) Room() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.sorted.rows)
}

// Old returns how many rows are kept of those before the bucket was begun anew.
func (x *Index) Old() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.old)
}

// Drop drops the rows of watches that ended more than a day ago, as Run does now and then.
func (b *Board) Drop() { b.index.dropEnded() }

// Rows returns how many rows the board keeps.
func (b *Board) Rows() int {
	open, ended := b.index.Kept()
	return open + ended
}
