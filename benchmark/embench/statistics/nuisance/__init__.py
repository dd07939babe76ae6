"""What is not of the body and may still tell the label: clock, movement and contact of the sensor, as columns of the
units, whose share `adds` takes off a method's scores before it looks at them."""
