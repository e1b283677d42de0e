"""What passes between who trains and who stores: outcomes, identities, witnesses, provenance.

Frozen records without logic of their own. All rooms above may import them.
"""
