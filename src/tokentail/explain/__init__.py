"""Where a number comes from: which lines were counted, which were copies of what, by which rule, and priced how."""
