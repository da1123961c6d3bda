import { expect, test } from '../harness/fixtures';
import { goTo } from './form';

test('the page’s policy refuses what is not its own', async ({ open }) => {
  const { page, record } = await open();
  const tried = await page.evaluate(async () => {
    const inline = document.createElement('script');
    inline.textContent = 'globalThis.ranInline = true';
    document.head.append(inline);
    const image = new Image();
    image.src = 'http://127.0.0.1:9/elsewhere.png';
    const fetched = await fetch('http://127.0.0.1:9/elsewhere').then(() => 'answered', () => 'refused');
    // Later, as what the test runs itself is exempt.
    const evaluated = await new Promise((resolve) =>
      setTimeout(() => {
        try {
          resolve(new Function('return "ran"')());
        } catch {
          resolve('refused');
        }
      }),
    );
    return { inline: 'ranInline' in globalThis, fetched, evaluated };
  });
  expect(tried).toEqual({ inline: false, fetched: 'refused', evaluated: 'refused' });
  await expect.poll(() => record.complaints.filter((c) => c.startsWith('policy:')).length, 'violations that were reported').toBe(4);
  // They were ours, so they are nothing to complain of; the browser names what it refused among the requests.
  record.complaints.length = 0;
  record.requests.splice(0, Infinity, ...record.requests.filter((url) => !url.startsWith('http://127.0.0.1:9/')));
});

test('colours follow the system until a choice is made, which stays', async ({ open, page }) => {
  await open();
  const html = page.locator('html');
  await page.emulateMedia({ colorScheme: 'dark' });
  await expect(html).toHaveAttribute('data-theme', 'dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await expect(html).toHaveAttribute('data-theme', 'light');
  await goTo(page, 'Settings');
  await page.getByRole('radio', { name: 'Dark' }).check();
  await expect(html).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await expect(html).toHaveAttribute('data-theme', 'dark');
  await goTo(page, 'Settings');
  await page.getByRole('radio', { name: 'As the system' }).check();
  await expect(html).toHaveAttribute('data-theme', 'light');
});

test('the sandbox starts and stops', async ({ open }) => {
  const { page } = await open();
  await goTo(page, 'Sandbox');
  await expect(page.getByRole('status').filter({ hasText: 'Stopped' })).toBeVisible();
  await page.getByRole('button', { name: 'Start the sandbox' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Running' })).toBeVisible();
  await expect(page.getByRole('table', { name: 'Test sign-ins' })).toContainText('dr.okafor');
  await page.getByRole('button', { name: 'Stop the sandbox' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Stopped' })).toBeVisible();
});
