import { asRefusal, type Refusal } from './bridge';

/**
 * One answer of Go's, read again on demand. While a newer answer is on its way the older one stays; a call that comes in the
 * meantime leads to one more read, so the last event is never lost and a burst of them costs two reads.
 */
export class Reading<T> {
  value = $state.raw<T>();
  problem = $state.raw<Refusal>();
  #read: () => Promise<T>;
  #running: Promise<void> | undefined;
  #again = false;
  #age = 0;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  refresh = (): Promise<void> => {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  };

  /** Drops the answer, and also one that is still on its way. */
  forget = (): void => {
    this.#age += 1;
    this.value = this.problem = undefined;
  };

  async #run(): Promise<void> {
    do {
      this.#again = false;
      const age = this.#age;
      try {
        const answer = await this.#read();
        if (age !== this.#age) continue;
        this.value = answer;
        this.problem = undefined;
      } catch (reason) {
        if (age === this.#age) this.problem = asRefusal(reason);
      }
    } while (this.#again);
  }
}
