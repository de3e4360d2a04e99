// What every page has: the theme toggle, and sections that fold.

import { bindFoldAll, reveal } from "vitreous/folds.js";
import { bindToggle } from "vitreous/theme.js";

for (const button of document.querySelectorAll("[data-theme-toggle]")) bindToggle(button);
for (const button of document.querySelectorAll("[data-fold-all]")) bindFoldAll(button);
reveal();
