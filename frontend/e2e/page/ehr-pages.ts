import { expect, type Page } from '@playwright/test';

export type Answers = {
  /** Who signs in, where the EHR asks; in a launch it knows already. */
  user?: string;
  /** The name of the record, and of the visit, to open. */
  patient?: string;
  encounter?: string;
  /** Gives up at the last page. */
  deny?: boolean;
};

/** Answers every page that the simulated EHR at origin shows, until the browser is somewhere else. Tells which pages there were. */
export async function answerPages(page: Page, { user, patient, encounter, deny }: Answers = {}, origin = new URL(page.url()).origin): Promise<string[]> {
  const body = page.locator('body');
  const shown: string[] = [];
  for (;;) {
    const here = page.url();
    if (new URL(here).origin !== origin) return shown;
    const at = (await body.getAttribute('data-page')) ?? '';
    if (shown.includes(at)) throw new Error(`the EHR shows ${at} again: ${await body.innerText()}`);
    shown.push(at);
    let button = 'Continue';
    switch (at) {
      case 'signin':
        if (!user) throw new Error('the EHR asks who signs in');
        await page.getByLabel('User name').fill(user);
        // The page itself publishes the passwords.
        await page.getByLabel('Password').fill(await page.getByRole('row').filter({ has: page.getByText(user, { exact: true }) }).getByRole('cell').nth(2).innerText());
        button = 'Sign in';
        break;
      case 'patient':
      case 'encounter': {
        const name = at === 'patient' ? patient : encounter;
        if (name) await page.getByRole('radio', { name }).check();
        break;
      }
      case 'consent':
        button = deny ? 'Deny' : 'Allow';
        break;
      default:
        throw new Error(`the EHR shows ${at}: ${await body.innerText()}`);
    }
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.waitForURL((url) => url.href !== here);
    await expect(body).toBeAttached();
  }
}
