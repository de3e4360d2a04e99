// What every page has: the theme toggle.

import { bindToggle } from "vitreous/theme.js";

for (const button of document.querySelectorAll("[data-theme-toggle]")) bindToggle(button);
