"""Nuisances, which are not of the body and may still predict the label: clock, movement and contact of the sensor, as
columns of the units, whose share `adds` removes from a method's scores before it examines them."""
