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

  async #run(): Promise<void> {
    do {
      this.#again = false;
      try {
        this.value = await this.#read();
        this.problem = undefined;
      } catch (reason) {
        this.problem = asRefusal(reason);
      }
    } while (this.#again);
  }
}
