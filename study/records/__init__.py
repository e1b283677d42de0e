"""What passes between who trains and who stores: outcomes, identities, witnesses, provenance.

Frozen records and what tells them apart. It imports no other room; all rooms above may import it.
"""
