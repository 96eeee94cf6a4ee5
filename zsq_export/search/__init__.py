"""``convert --search``: leave in float what costs most fidelity, drop what loses time, until the gates hold."""
