import { expect, it } from 'vitest';
import { Reading } from './reading.svelte';

it('reads once more for any number of calls that came while it read', async () => {
  let reads = 0;
  const reading = new Reading(async () => ++reads);
  await Promise.all([reading.refresh(), reading.refresh(), reading.refresh()]);
  expect(reads).toBe(2);
  expect(reading.value).toBe(2);
});

it('drops its answer, and the one that is on its way', async () => {
  const answers: ((answer: string) => void)[] = [];
  const reading = new Reading(() => new Promise<string>((resolve) => answers.push(resolve)));
  const first = reading.refresh();
  answers[0]!('of a patient');
  await first;
  const second = reading.refresh();
  reading.forget();
  expect(reading.value).toBeUndefined();
  answers[1]!('of a patient');
  await second;
  expect(reading.value).toBeUndefined();
  const third = reading.refresh();
  answers[2]!('new');
  await third;
  expect(reading.value).toBe('new');
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
