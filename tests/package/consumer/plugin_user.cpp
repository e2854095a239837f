// A program that knows nothing of evio; the shared library it is linked with contains one.
int plugin_main();

int main() { return plugin_main(); }
