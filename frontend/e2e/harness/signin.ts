import { expect, type Browser, type BrowserContext, type Page } from '@playwright/test';
import type { Desk } from './desk';

/** The sandbox's published passwords. They guard invented patients. */
const password = (user: string) => (/^(dr|np)\./.test(user) ? 'clinician-pass1' : 'patient-pass1');

export type Person = {
  user: string;
  /** The name of the record to open, where the EHR lets choose. */
  patient?: string;
  /** Gives up at the last page. */
  deny?: boolean;
  /** Keeps back the scopes whose ID this fits. */
  without?: RegExp;
};

/** The system browser: real Chromium with a profile of its own, in which a person signs in at the EHR's pages. */
export class SystemBrowser {
  #context: BrowserContext | undefined;

  constructor(
    private readonly browser: Browser,
    private readonly desk: Desk,
  ) {}

  async open(address: string): Promise<Page> {
    // What is in the address is for the browser alone.
    this.desk.secrets.add('state', new URL(address).searchParams.get('state'));
    this.desk.secrets.add('nonce', new URL(address).searchParams.get('nonce'));
    this.#context ??= await this.browser.newContext();
    const page = await this.#context.newPage();
    page.on('request', (request) => this.desk.secrets.add('code', new URL(request.url()).searchParams.get('code')));
    await page.goto(address);
    return page;
  }

  /** Signs in at the address that Chartkey has asked to open, and gives the page that Chartkey shows at the end. */
  async signIn(person: Person): Promise<Page> {
    const page = await this.open(await this.desk.opened());
    await signIn(page, person);
    return page;
  }

  /** Forgets who is signed in at the EHR. */
  async leave(): Promise<void> {
    await this.#context?.clearCookies();
  }

  async close(): Promise<void> {
    await this.#context?.close();
  }
}

/** Goes through the sandbox's pages as a person does, until the browser is back at Chartkey. */
export async function signIn(page: Page, person: Person): Promise<void> {
  const body = page.locator('body');
  await expect(body).toHaveAttribute('data-page', 'signin');
  await page.getByLabel('User name').fill(person.user);
  await page.getByLabel('Password').fill(password(person.user));
  await page.getByRole('button', { name: 'Sign in' }).click();
  for (;;) {
    await expect(body).not.toHaveAttribute('data-page', 'signin');
    const at = await body.getAttribute('data-page');
    if (at === 'consent') break;
    if (person.patient && at === 'patient') await page.getByRole('radio', { name: person.patient }).check();
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect(body).not.toHaveAttribute('data-page', at ?? '');
  }
  for (const box of await page.getByRole('checkbox').all()) {
    if (person.without?.test((await box.getAttribute('value')) ?? '')) await box.uncheck();
  }
  await page.getByRole('button', { name: person.deny ? 'Deny' : 'Allow' }).click();
  await page.waitForURL(/^http:\/\/localhost:1832[012]\//);
}
