"""What passes between who trains and who stores: outcomes, identities, witnesses, provenance.

Frozen records and what tells them apart. All rooms above may import them.
"""
