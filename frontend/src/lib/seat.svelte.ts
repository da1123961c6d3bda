import { app, type SeatPage } from './bridge';
import { Reading } from './reading.svelte';

/** Who acts at this workstation, and whether the page is locked. */
export class Seat {
  readonly reading: Reading<SeatPage>;
  /** Why it is locked, in Go's few words; empty where that was before the page opened. */
  why = $state('');
  /** Whose passcode the lock asks for; empty for who was there. */
  wanted = $state('');
  #dropped = $state(false);
  /** Until Go has done its part of a lock, it cannot say that it is over. */
  #locking = false;
  #lock: () => Promise<void>;

  constructor(read: () => Promise<SeatPage>, lock: () => Promise<void>) {
    this.reading = new Reading(read);
    this.#lock = lock;
  }

  get page(): SeatPage | undefined {
    return this.reading.value;
  }

  get locked(): boolean {
    return this.#dropped || !!this.page?.seat.locked;
  }

  get admin(): boolean {
    return this.page?.seat.role === 'admin';
  }

  /** Locks: the page drops what it shows at once, and does not wait for Go to have done its part. */
  lock = async (wanted = ''): Promise<void> => {
    this.wanted = wanted;
    this.why = 'by hand';
    this.#dropped = this.#locking = true;
    try {
      await this.#lock();
    } finally {
      this.#locking = false;
      await this.settle();
    }
  };

  /** Go has locked. */
  dropped = (why: string): Promise<void> => {
    this.why = why;
    this.#dropped = true;
    return this.settle();
  };

  /** Has Go say whether it is locked: that alone ends a lock. */
  settle = async (): Promise<void> => {
    await this.reading.refresh();
    if (this.#locking) return;
    this.#dropped = this.reading.problem !== undefined || (this.page?.seat.locked ?? true);
    if (!this.#dropped) this.wanted = this.why = '';
  };
}

export const seat = new Seat(() => app.SeatPage(), () => app.Lock());
