/** How much of a dataset a preview shows. */
export const MAX_PREVIEW_ROWS = 100;
export const MAX_PREVIEW_COLUMNS = 1000;
