/** The version of this package: a test holds it to that of the Python package. */
export const version = '0.1.0';
