import { createSubscriber } from 'svelte/reactivity';

/** The time as a value that changes by itself, only while something on the page shows it. */
class Clock {
  #watch: () => void;

  constructor(everyMs: number) {
    this.#watch = createSubscriber((update) => {
      const timer = setInterval(update, everyMs);
      return () => clearInterval(timer);
    });
  }

  get now(): number {
    this.#watch();
    return Date.now();
  }
}

export const seconds = new Clock(1_000);
export const halfMinutes = new Clock(30_000);
