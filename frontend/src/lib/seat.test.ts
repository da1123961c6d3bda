import { describe, expect, it } from 'vitest';
import type { SeatPage } from './bridge';
import { Seat } from './seat.svelte';

const page = (locked: boolean, role = 'admin') => ({ seat: { locked, role, profile_id: 'p1' } }) as SeatPage;

/** A seat whose Go says and does what a test wants. */
function desk() {
  const go = { locked: false, role: 'admin', broken: false, done: () => {} };
  const seat = new Seat(
    async () => {
      if (go.broken) throw new Error('no answer');
      return page(go.locked, go.role);
    },
    () =>
      new Promise<void>((resolve) => {
        go.done = () => {
          go.locked = true;
          resolve();
        };
      }),
  );
  return { go, seat };
}

describe('a seat', () => {
  it('drops what is shown before Go has locked', async () => {
    const { go, seat } = desk();
    await seat.reading.refresh();
    expect(seat.locked).toBe(false);
    const locking = seat.lock('p2');
    expect(seat.locked).toBe(true);
    // What is read meanwhile says that it is not locked yet.
    await seat.settle();
    expect(seat.locked).toBe(true);
    go.done();
    await locking;
    expect(seat.locked).toBe(true);
    expect([seat.wanted, seat.why]).toEqual(['p2', 'by hand']);
    go.locked = false;
    await seat.settle();
    expect(seat.locked).toBe(false);
    expect([seat.wanted, seat.why]).toEqual(['', '']);
  });

  it('is locked where Go says so, also without an event', async () => {
    const { go, seat } = desk();
    await seat.reading.refresh();
    go.locked = true;
    await seat.dropped('idle');
    expect([seat.locked, seat.why]).toEqual([true, 'idle']);
    go.locked = false;
    await seat.settle();
    go.locked = true;
    await seat.reading.refresh();
    expect(seat.locked).toBe(true);
  });

  it('goes on where the event of a lock comes after the unlock', async () => {
    const { seat } = desk();
    await seat.reading.refresh();
    await seat.dropped('by hand');
    expect(seat.locked).toBe(false);
  });

  it('stays locked where Go does not answer', async () => {
    const { go, seat } = desk();
    await seat.reading.refresh();
    go.broken = true;
    await seat.dropped('idle');
    expect(seat.locked).toBe(true);
  });

  it('knows an admin', async () => {
    const { go, seat } = desk();
    expect(seat.admin, 'before anything is known').toBe(false);
    await seat.reading.refresh();
    expect(seat.admin).toBe(true);
    go.role = 'clinician';
    await seat.reading.refresh();
    expect(seat.admin).toBe(false);
  });
});
