import { expect, it } from 'vitest';
import { Reading } from './reading.svelte';

it('reads once more for any number of calls that came while it read', async () => {
  let reads = 0;
  const reading = new Reading(async () => ++reads);
  await Promise.all([reading.refresh(), reading.refresh(), reading.refresh()]);
  expect(reads).toBe(2);
  expect(reading.value).toBe(2);
});

it('keeps the last answer when reading fails, and says so', async () => {
  const fault = { code: 'store-busy', message: 'The data folder is busy.', advice: 'Try again.', retryable: true };
  let fail = false;
  const reading = new Reading(async () => {
    if (fail) throw fault;
    return 'kept';
  });
  await reading.refresh();
  fail = true;
  await reading.refresh();
  expect(reading.value).toBe('kept');
  expect(reading.problem).toMatchObject(fault);
  fail = false;
  await reading.refresh();
  expect(reading.problem).toBeUndefined();
});
