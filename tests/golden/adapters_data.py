"""Golden adapters of samplers, pre-processing, augmentation and schedules."""
