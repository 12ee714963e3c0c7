// A user's program, built outside the tree against the installed package.
#include <tapestry.h>

using namespace tapestry;

int main() {
  const Context context{{.threads = 2, .seed = 1}};
  const Tensor x = context.uniform({3, 5}, 0, 1, 7);
  return x.size() == 15 && x.shape() == Shape{3, 5} ? 0 : 1;
}
