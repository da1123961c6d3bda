import { tick } from 'svelte';
import { asRefusal, type Refusal } from './bridge';

/** Something that a person asks of Go: whether it is under way, and why it was refused. */
export class Action {
  busy = $state(false);
  refusal = $state.raw<Refusal>();
  #near: () => HTMLElement | null | undefined;

  /** A control may go with what it did; the focus then moves to what near gives, instead of being lost. */
  constructor(near: () => HTMLElement | null | undefined = () => undefined) {
    this.#near = near;
  }

  /** Does it, unless it is under way already. Tells whether it was done. */
  run = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (this.busy) return false;
    this.busy = true;
    this.refusal = undefined;
    try {
      await work();
      return true;
    } catch (reason) {
      this.refusal = asRefusal(reason);
      return false;
    } finally {
      this.busy = false;
      await tick();
      if (document.activeElement === document.body) this.#near()?.focus({ preventScroll: true });
    }
  };
}
