import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';

const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** Proves that axe finds nothing against WCAG 2.2 A and AA in what is shown, in light and in dark. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expect(page.locator('html')).toHaveAttribute('data-theme', colorScheme);
    // The spinner is Wails's own, of the development build.
    const { violations, passes } = await new AxeBuilder({ page }).withTags(levels).exclude('#wails-spinner').analyze();
    expect(passes.length, `rules that axe could apply to ${where}`).toBeGreaterThan(5);
    const found = violations.flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.target.join(' ')}: ${node.failureSummary?.split('\n').slice(1).join('; ').trim()}`));
    expect.soft(found, `${where}, ${colorScheme}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}
