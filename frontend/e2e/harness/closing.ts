import type { FullResult, Reporter, Suite, TestCase } from '@playwright/test/reporter';

/** Ends a run with one plain line that counts what passed and what failed. */
export default class Closing implements Reporter {
  #suite: Suite | undefined;

  onBegin(_config: unknown, suite: Suite): void {
    this.#suite = suite;
  }

  onEnd(result: FullResult): void {
    const tests = this.#suite?.allTests() ?? [];
    const passed = tests.filter((test) => ran(test) && test.ok()).length;
    const failed = tests.filter((test) => !test.ok()).length;
    const rest = tests.length - passed - failed;
    console.log(`${passed} passed, ${failed} failed${rest > 0 ? `, ${rest} not run` : ''} in ${(result.duration / 1000).toFixed(0)} s`);
  }

  printsToStdio(): boolean {
    return false;
  }
}

const ran = (test: TestCase) => test.results.some((result) => result.status !== 'skipped' && result.status !== 'interrupted');
