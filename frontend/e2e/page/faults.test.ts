import { readFileSync } from 'node:fs';
import type { Locator, Page } from '@playwright/test';
import { expect, test, type Opened } from '../harness/fixtures';
import type { SystemBrowser } from '../harness/signin';
import type { Desk } from '../harness/desk';
import { until } from '../harness/until';
import { answerPages } from './ehr-pages';
import { goTo, section } from './form';

// How the client ends what it does under each fault: the list of the workstation's own tests.
type Ending = { connect?: string; refresh?: string; read?: string; lost?: string[]; warning?: string };
const endings = JSON.parse(
  readFileSync(new URL('../../../backend/workstation/testdata/fault-endings.json', import.meta.url), 'utf8'),
) as Record<string, Ending>;

/** What shows a fault: one thing that a person does. */
type Deed = 'test' | 'connect' | 'refresh' | 'read';

function deedOf(name: string): Deed {
  const { connect, refresh, read } = endings[name]!;
  // What a server said of itself is kept for minutes, and the test alone asks anew.
  if (name.startsWith('discovery-') || name === 'no-smart-configuration') return 'test';
  if (name.startsWith('fhir-')) return 'read';
  if (connect) return 'connect';
  return refresh ? 'refresh' : read ? 'read' : 'connect';
}

const hangs = (name: string) => name.endsWith('-hangs');

/** The window with a sandbox that is connected, and what a person does in it. */
class Ward {
  private constructor(
    private readonly page: Page,
    private readonly record: Opened['record'],
    private readonly desk: Desk,
    private readonly browser: SystemBrowser,
  ) {}

  static async open(opened: Opened, desk: Desk, browser: SystemBrowser): Promise<Ward> {
    const ward = new Ward(opened.page, opened.record, desk, browser);
    await opened.page.getByRole('button', { name: 'Try it with the built-in sandbox' }).click();
    await opened.page.getByRole('button', { name: 'Connect to Sandbox' }).click();
    await ward.signIn();
    await ward.connected();
    return ward;
  }

  /** Exactly this fault is on, or none. */
  async fault(name: string | undefined): Promise<void> {
    await goTo(this.page, 'Sandbox');
    const faults = this.page.getByRole('region', { name: 'Faults', exact: true });
    if (name) await faults.getByRole('checkbox', { name, exact: true }).check();
    else await faults.getByRole('button', { name: 'Switch all faults off' }).click();
    await expect(faults.getByRole('status')).toHaveText(`${name ? 1 : 0} of ${Object.keys(endings).length} on`);
    await expect(this.page.getByText('1 fault is on')).toBeVisible({ visible: !!name });
    await goTo(this.page, 'Connections');
    await this.page.getByRole('table', { name: 'Connections' }).getByRole('button', { name: 'Sandbox', exact: true }).click();
    await expect(this.page.getByRole('heading', { name: 'Sandbox', level: 1 })).toBeVisible();
  }

  async signIn(): Promise<void> {
    const browser = await this.browser.open(await this.desk.opened());
    await answerPages(browser, { user: 'amara' });
    await browser.close();
  }

  async connected(): Promise<void> {
    await expect(section(this.page, 'Connection').getByText('Connected to Sandbox')).toBeVisible();
  }

  /** Sees a note that says what happened and what to do. */
  private async explained(note: Locator): Promise<void> {
    await expect(note).toBeVisible();
    const said = await note.getByRole('paragraph').allInnerTexts();
    expect(said.length, said.join(' ')).toBeGreaterThanOrEqual(2);
    for (const text of said.slice(-2)) expect(text.trim(), said.join(' ')).toMatch(/\S \S.*[.:]/);
  }

  /** The code of the fault that ended the last sign-in. */
  private lastEnd(): string | undefined {
    return this.record.events<{ error: { code: string } | null }>('connect').at(-1)?.error?.code;
  }

  async connect(name: string): Promise<void> {
    const { connect: code, warning } = endings[name]!;
    const connection = section(this.page, 'Connection');
    await connection.getByRole('button', { name: 'Reconnect to Sandbox' }).click();
    const panel = connection.getByRole('group', { name: 'Sign-in in progress' });
    if (hangs(name)) {
      const browser = await this.browser.open(await this.desk.opened());
      const back = browser.waitForRequest(/^http:\/\/localhost:1832\d\//);
      const gone = answerPages(browser, { user: 'amara' }).catch(() => undefined); // what it is shown comes late, or never
      await back;
      await panel.getByRole('button', { name: 'Cancel' }).click();
      await expect(panel).toBeHidden();
      await expect(connection.getByText('The sign-in was cancelled. Nothing has changed.')).toBeVisible();
      await browser.close();
      await gone;
      return;
    }
    await this.signIn();
    if (code === 'sign-in-timeout') {
      // It was not the answer that is waited for; nobody wants to wait five minutes for that to come.
      await panel.getByRole('button', { name: 'Cancel' }).click();
      await expect(connection.getByText('The sign-in was cancelled. Nothing has changed.')).toBeVisible();
    } else if (code) {
      await this.explained(connection.getByRole('alert').filter({ hasText: 'Not connected' }));
      expect(this.lastEnd()).toBe(code);
    } else {
      await this.connected();
      await expect(connection.getByText('Odd about this sign-in')).toBeVisible({ visible: !!warning });
      if (warning) await expect(connection.getByRole('listitem').filter({ hasText: warning })).toBeVisible();
    }
  }

  async refresh(): Promise<void> {
    const connection = section(this.page, 'Connection');
    await connection.getByRole('button', { name: 'Refresh', exact: true }).click();
    await this.explained(connection.getByRole('alert').filter({ hasText: 'The access was not refreshed' }));
  }

  async read(name: string): Promise<void> {
    const explore = section(this.page, 'Explore');
    if (hangs(name)) {
      await this.page.getByRole('button', { name: 'Test all' }).click();
      await expect(section(this.page, 'Test').getByRole('region', { name: 'Live connection checks' }).getByRole('listitem')).not.toHaveCount(0);
      await this.cancelTest();
      return;
    }
    await explore.getByRole('button', { name: 'Read', exact: true }).click();
    if (endings[name]!.read) await this.explained(explore.locator('[aria-live] > div').filter({ has: this.page.getByRole('paragraph') }));
    else await expect(explore.getByRole('region', { name: 'JSON' })).toContainText('"resourceType": "Patient"');
  }

  async test(name: string): Promise<void> {
    const tests = section(this.page, 'Test');
    if (hangs(name)) {
      await tests.getByRole('button', { name: 'Test configuration' }).click();
      await expect(tests.getByRole('region', { name: 'Configuration checks' }).getByRole('listitem')).not.toHaveCount(0);
      await this.cancelTest();
      return;
    }
    const ok = await this.tested('Test configuration');
    const failed = tests.getByRole('listitem').filter({ hasText: 'Failed' });
    if (endings[name]!.connect) {
      expect(ok).toBe(false);
      await expect(failed.first()).toContainText(/What to do: \S/);
    } else {
      expect(ok).toBe(true);
      await expect(failed).toHaveCount(0);
      if (endings[name]!.warning) await expect(tests.getByRole('listitem').filter({ hasText: 'Warning' }).first()).toContainText(/What to do: \S/);
    }
  }

  private async cancelTest(): Promise<void> {
    const tests = section(this.page, 'Test');
    await tests.getByRole('button', { name: 'Cancel test' }).click();
    await expect(tests.getByRole('button', { name: 'Test all' })).toBeVisible();
  }

  /** Runs a test to its end, and tells whether it passed. */
  private async tested(button: 'Test configuration' | 'Test all'): Promise<boolean> {
    type Event = { done: boolean; report: { ok: boolean; checks: { layer: string }[] } | null };
    // The test that follows a sign-in by itself looks at the connection alone.
    const ends = () => this.record.events<Event>('test').filter((e) => e.done && e.report?.checks.some((c) => c.layer === 'configuration'));
    const before = ends().length;
    const tests = section(this.page, 'Test');
    await tests.getByRole('button', { name: button }).click();
    const end = await until(`${button} ends`, () => ends()[before], { within: 45_000 });
    const ok = end.report?.ok ?? false;
    await expect(tests.getByText(ok ? /^(Every check that ran has passed\.|No check failed;)/ : 'The test found a problem.')).toBeVisible();
    return ok;
  }

  /** Sees that all is well again, with the connection of before unless the EHR has ended it. */
  async recovers(name: string, deed: Deed): Promise<void> {
    if (endings[name]!.lost?.includes(deed)) {
      await this.page.getByRole('button', { name: 'Reconnect to Sandbox' }).click();
      await this.signIn();
      await this.connected();
    }
    expect(await this.tested('Test all'), 'the test when the fault is over').toBe(true);
  }
}

for (const deed of ['test', 'connect', 'refresh', 'read'] as const) {
  const names = Object.keys(endings).filter((name) => deedOf(name) === deed);
  test(`every fault that shows in a ${deed} is explained, and is over when it is switched off`, async ({ open, desk, systemBrowser }) => {
    test.setTimeout(60_000 + names.length * 8_000);
    const opened = await open();
    const ward = await Ward.open(opened, desk, systemBrowser);
    if (deed === 'test') {
      await goTo(opened.page, 'Sandbox');
      const listed = await opened.page.getByRole('list', { name: 'Faults' }).locator('code').allInnerTexts();
      expect(listed.toSorted(), 'the faults that the sandbox lists').toEqual(Object.keys(endings).toSorted());
    }
    for (const name of names) {
      await test.step(name, async () => {
        await ward.fault(name);
        await ward[deed](name);
        await ward.fault(undefined);
        await ward.recovers(name, deed);
      });
    }
  });
}
