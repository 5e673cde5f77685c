package index

// Keep lets the index keep so many ended watches at least.
func (x *Index) Keep(ended int) { x.sorted.kept = ended }

// Kept returns how many rows there are, of open watches and of ended ones.
func (x *Index) Kept() (open, ended int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.rows) - x.sorted.ended, x.sorted.ended
}
