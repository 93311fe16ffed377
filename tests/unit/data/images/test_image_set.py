from dataclasses import replace
from pathlib import Path

import numpy as np

from vireid.core.types import Modality, Sample
from vireid.data.images.image_set import ImageSet, TrainingBatches
from vireid.data.loading import BatchLoader

SAMPLES = [Sample(Path(f"{row}.jpg"), row, Modality.VISIBLE, 1) for row in range(6)]
IMAGES = np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3)


def test_a_part_has_its_rows_under_its_own_labels_also_as_a_part_of_a_part():
    whole = ImageSet(SAMPLES, IMAGES)
    labels = [replace(SAMPLES[row], identity=label) for label, row in enumerate((5, 1, 3))]
    part = whole.part([5, 1, 3], labels)
    batch = BatchLoader(part.samples, part.images, []).batch([2, 0])
    assert batch.labels.tolist() == [2, 0]
    np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1).numpy(), IMAGES[[3, 5]])
    inner = part.part([1], labels[1:2])
    np.testing.assert_array_equal(inner.images.take([0]), IMAGES[[1]])


def test_all_of_them_are_the_array_itself_and_none_is_empty():
    whole = ImageSet(SAMPLES, IMAGES)
    assert whole.part(range(6), SAMPLES).images is IMAGES
    assert len(whole.part([], []).images) == 0


def test_an_epoch_is_drawn_by_the_sampler_of_that_epoch():
    class Sampler:
        epoch = -1

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __len__(self):
            return 2

        def __iter__(self):
            return iter([[self.epoch], [self.epoch + 1]])

    sampler = Sampler()
    batches = TrainingBatches(BatchLoader(SAMPLES, IMAGES, sampler), sampler)
    assert batches.steps() == 2
    assert [batch.index.tolist() for batch in batches.epoch(3)] == [[3], [4]]
