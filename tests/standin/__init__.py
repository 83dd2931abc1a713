# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what ecs-authd talks to: systemd over D-Bus, the Docker Engine, the ECS agent. They run as threads of
the test (or the demo), do what the real ones do where it matters, and can be told to misbehave."""
