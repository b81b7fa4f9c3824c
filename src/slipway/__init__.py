"""The driver of Slipway: the lab, and runs of Ansible. It holds no host logic; that is the roles' work."""
