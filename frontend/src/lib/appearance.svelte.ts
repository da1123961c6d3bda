export type Appearance = 'system' | 'light' | 'dark';

const KEY = 'appearance';
const dark = matchMedia('(prefers-color-scheme: dark)');

/** Light, dark, or as the system says. Kept by the web view, since it concerns the page alone. */
class AppearanceSetting {
  choice = $state<Appearance>(kept());

  choose(choice: Appearance): void {
    this.choice = choice;
    localStorage.setItem(KEY, choice);
    this.apply();
  }

  apply(): void {
    const resolved = this.choice === 'system' ? (dark.matches ? 'dark' : 'light') : this.choice;
    document.documentElement.dataset.theme = resolved;
  }
}

function kept(): Appearance {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export const appearance = new AppearanceSetting();
dark.addEventListener('change', () => appearance.apply());
