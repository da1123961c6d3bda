import { expect, type Page } from '@playwright/test';
import type { Desk } from './desk';

/** Everything that a page was sent, asked for and complained about, from before it opened. */
export class Record {
  /** Every message that Go sent to the page: answers of bound methods, and events. */
  readonly received: string[] = [];
  readonly requests: string[] = [];
  readonly complaints: string[] = [];
  /** Where the page may ask for things: its own server. */
  readonly origins: string[] = [];

  static async of(page: Page): Promise<Record> {
    const record = new Record();
    page.on('websocket', (socket) => {
      record.requests.push(socket.url());
      socket.on('framereceived', ({ payload }) => record.received.push(payload.toString()));
    });
    page.on('request', (request) => record.requests.push(request.url()));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) record.complain(`console: ${message.text()}`, message.location().url);
    });
    page.on('pageerror', (error) => record.complain(`uncaught: ${error.message}`, /(http\S+?):\d+:\d+/.exec(error.stack ?? '')?.[1] ?? ''));
    await page.exposeFunction('noteViolation', (violation: string, source: string) => record.complain(violation, source));
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        const note = (globalThis as unknown as { noteViolation: (violation: string, source: string) => void }).noteViolation;
        note(`policy: ${event.violatedDirective} refused ${event.blockedURI}`, event.sourceFile);
      });
    });
    return record;
  }

  private complain(what: string, source: string): void {
    // Wails's own "disconnected" banner in the development build. The shipped window has none.
    if (source.endsWith('/wails/ipc.js')) return;
    this.complaints.push(source ? `${what} (${source})` : what);
  }

  /** Messages that carry an event of a name. */
  events<T>(name: string): T[] {
    return this.received
      .filter((message) => message.startsWith('n{'))
      .map((message) => JSON.parse(message.slice(1)) as { name: string; data: T[] })
      .filter((event) => event.name === name)
      .flatMap((event) => event.data);
  }

  /** Proves that the page was told no secret, asked nobody else for anything, and had nothing to complain of. */
  check(desk: Desk): void {
    const own = this.origins.map((origin) => new URL(origin).host);
    const elsewhere = this.requests.filter((url) => !own.includes(new URL(url).host) && !/^(data:|about:)/.test(url));
    expect(this.complaints, 'what the page complained of').toEqual([]);
    expect(elsewhere, 'requests to elsewhere').toEqual([]);
    expect(this.received.length, 'messages that were recorded').toBeGreaterThan(0);
    expect(this.received.flatMap((message) => desk.secrets.in(message).map((found) => `${found} in ${message.slice(0, 120)}`)), 'secrets in messages to the page').toEqual([]);
  }
}
