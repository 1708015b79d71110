"""Detectors of people, hands and faces: mediapipe's networks behind plain arrays."""
