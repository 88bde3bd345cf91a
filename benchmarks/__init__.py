"""Speed and memory of the appliance, compared with other servers on the same model file."""
